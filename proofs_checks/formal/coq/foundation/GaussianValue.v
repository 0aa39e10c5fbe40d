(** The Gaussian integral: the weight's integral [Z] is [sqrt(2 pi)].

    [A(t)] is the integral from 0 to t and [B(t) = 2 int_0^1 exp(-t^2 (1 + x^2)/2)/(1 + x^2) dx]. The derivative of [A^2 + B] is 0, at 0 it is
    [2 arctan 1 = pi/2], and B vanishes at infinity. *)

From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Singdiffusion Require Import Base Gaussian Posterior.
Local Open Scope R_scope.

Definition half (t : R) : R := RInt w 0 t.
Definition kern (t x : R) : R := exp (- (t ^ 2 * (1 + x ^ 2) / 2)) / (1 + x ^ 2).
Definition side (t : R) : R := 2 * RInt (kern t) 0 1.

Lemma one_sq x : 0 < 1 + x ^ 2.
Proof. pose proof (pow2_ge_0 x). lra. Qed.

Lemma kern_derive x t : is_derive (fun t => kern t x) t (- t * exp (- (t ^ 2 * (1 + x ^ 2) / 2))).
Proof. pose proof (one_sq x). unfold kern. auto_derive; [simpl in H; lra|].
  repeat match goal with |- context [exp ?a] => progress (replace (exp a) with (exp (- (t ^ 2 * (1 + x ^ 2) / 2))) by (f_equal; field)) end.
  set (e := exp _). simpl in *. field. lra.
Qed.

Lemma kern_cont t x : continuous (kern t) x.
Proof. pose proof (one_sq x). apply (ex_derive_continuous (kern t)). unfold kern. auto_derive. simpl in *. lra. Qed.

Lemma half_derive t : is_derive half t (w t).
Proof.
  apply (is_derive_RInt w half 0).
  - apply filter_forall. intros b. apply (RInt_correct (V := R_CompleteNormedModule)), cont_ex_RInt, w_cont.
  - apply w_cont.
Qed.

Lemma side_derive t : is_derive side t (2 * RInt (fun x => - t * exp (- (t ^ 2 * (1 + x ^ 2) / 2))) 0 1).
Proof.
  apply (is_derive_scal (fun t => RInt (kern t) 0 1)).
  assert (D : forall x u, Derive (fun z => kern z x) u = - u * exp (- (u ^ 2 * (1 + x ^ 2) / 2))).
  { intros x u. apply is_derive_unique, kern_derive. }
  rewrite (RInt_ext (fun x => - t * exp (- (t ^ 2 * (1 + x ^ 2) / 2))) (fun x => Derive (fun z => kern z x) t)) by (intros; rewrite D; auto).
  apply (is_derive_RInt_param (fun t x => kern t x)).
  - apply filter_forall. intros u x _. eexists. apply kern_derive.
  - intros x _. apply (continuity_2d_pt_ext (fun u v => - u * exp (- (u * u * (1 + v * v) * / 2)))).
    + intros u v. rewrite D. f_equal. f_equal. field.
    + apply continuity_2d_pt_mult; [apply continuity_2d_pt_opp, continuity_2d_pt_id1|].
      apply (continuity_1d_2d_pt_comp exp); [apply derivable_continuous_pt, derivable_pt_exp|].
      apply continuity_2d_pt_opp. apply continuity_2d_pt_mult; [|apply continuity_2d_pt_const].
      apply continuity_2d_pt_mult.
      * apply continuity_2d_pt_mult; apply continuity_2d_pt_id1.
      * apply continuity_2d_pt_plus; [apply continuity_2d_pt_const|]. apply continuity_2d_pt_mult; apply continuity_2d_pt_id2.
  - apply filter_forall. intros u. apply cont_ex_RInt. intros x. apply kern_cont.
Qed.

(** Substitution y = t x *)
Lemma scaled t : RInt (fun x => t * w (t * x)) 0 1 = half t.
Proof.
  pose proof (RInt_comp_lin (V := R_CompleteNormedModule) w t 0 0 1) as H.
  assert (E : RInt (fun y => scal t (w (t * y + 0))) 0 1 = RInt w (t * 0 + 0) (t * 1 + 0)) by (apply H; apply cont_ex_RInt, w_cont).
  unfold half. replace (t * 0 + 0) with 0 in E by ring. replace (t * 1 + 0) with t in E by ring. rewrite <- E.
  apply RInt_ext. intros x _. unfold scal; simpl; unfold mult; simpl. f_equal. f_equal. ring.
Qed.

Lemma sum_constant t : half t ^ 2 + side t = half 0 ^ 2 + side 0.
Proof.
  assert (D : forall u, is_derive (fun t => half t ^ 2 + side t) u 0).
  { intros u. pose proof (half_derive u) as Hh. pose proof (side_derive u) as Hs.
    auto_derive; [split; [eexists; exact Hh|split; [eexists; exact Hs|auto]]|]. rate Hh; rate Hs.
    rewrite <- (scaled u). 
    assert (X : RInt (fun x => - u * exp (- (u ^ 2 * (1 + x ^ 2) / 2))) 0 1 = - w u * RInt (fun x => u * w (u * x)) 0 1).
    { rewrite <- (RInt_scal (V := R_CompleteNormedModule)).
      - apply RInt_ext. intros x _. unfold scal; simpl; unfold mult; simpl. unfold w.
        replace (exp (- (u * (u * 1) * (1 + x * (x * 1)) / 2))) with (exp (- (u ^ 2 / 2)) * exp (- ((u * x) ^ 2 / 2))).
        + ring.
        + rewrite <- exp_plus. f_equal. field.
      - apply cont_ex_RInt. intros x. apply (ex_derive_continuous (fun x => u * w (u * x))). unfold w. auto_derive. auto. }
    rewrite X. ring. }
  destruct (total_order_T t 0) as [[H| ->]|H]; auto.
  - apply (eq_is_derive (fun t => half t ^ 2 + side t)); auto.
  - symmetry. apply (eq_is_derive (fun t => half t ^ 2 + side t)); auto.
Qed.

Lemma start_value : half 0 ^ 2 + side 0 = PI / 2.
Proof.
  unfold half, side. rewrite RInt_point. unfold zero; simpl.
  assert (I : is_RInt (kern 0) 0 1 (atan 1 - atan 0)).
  { apply (is_RInt_derive atan).
    - intros x _. unfold kern. replace (exp (- (0 ^ 2 * (1 + x ^ 2) / 2)) / (1 + x ^ 2)) with (/ (1 + x ^ 2)).
      + apply is_derive_Reals, derivable_pt_lim_atan.
      + rewrite exp_zero by field. field. pose proof (one_sq x). lra.
    - intros x _. apply kern_cont. }
  rewrite (is_RInt_unique _ _ _ _ I), atan_1, atan_0. field.
Qed.

Lemma side_small t : 0 <= side t <= 2 * exp (- (t ^ 2 / 2)).
Proof.
  assert (P : forall x, 0 <= kern t x <= exp (- (t ^ 2 / 2))).
  { intros x. pose proof (one_sq x). pose proof (exp_pos (- (t ^ 2 * (1 + x ^ 2) / 2))). unfold kern. split; [apply Rdiv_le_0_compat; lra|].
    apply Rmult_le_reg_r with (1 + x ^ 2); auto.
    replace (exp (- (t ^ 2 * (1 + x ^ 2) / 2)) / (1 + x ^ 2) * (1 + x ^ 2)) with (exp (- (t ^ 2 * (1 + x ^ 2) / 2))) by (field; lra).
    assert (exp (- (t ^ 2 * (1 + x ^ 2) / 2)) <= exp (- (t ^ 2 / 2))).
    { apply exp_le_mono. assert (0 <= t ^ 2 * x ^ 2) by (apply Rmult_le_pos; apply pow2_ge_0).
      replace (t ^ 2 * (1 + x ^ 2)) with (t ^ 2 + t ^ 2 * x ^ 2) by ring. lra. }
    pose proof (exp_pos (- (t ^ 2 / 2))). pose proof (pow2_ge_0 x). nra. }
  assert (X : ex_RInt (kern t) 0 1) by (apply cont_ex_RInt; intros; apply kern_cont).
  unfold side. split.
  - assert (0 <= RInt (kern t) 0 1) by (apply RInt_ge_0; auto; try lra; intros; apply P). lra.
  - assert (H : RInt (kern t) 0 1 <= RInt (fun _ => exp (- (t ^ 2 / 2))) 0 1) by (apply RInt_le; auto; try lra; [apply ex_RInt_const|intros; apply P]).
    rewrite RInt_const in H. change (scal (1 - 0) (exp (- (t ^ 2 / 2)))) with ((1 - 0) * exp (- (t ^ 2 / 2))) in H. lra.
Qed.

Theorem gauss_integral : Z = sqrt (2 * PI).
Proof.
  assert (Hpi := PI_RGT_0).
  (* the integral from -n to n is twice half n *)
  assert (S : forall n, RInt w (- INR n) (INR n) = 2 * half (INR n)).
  { intros n. assert (X : forall a b, ex_RInt w a b) by (intros; apply cont_ex_RInt, w_cont).
    rewrite <- (RInt_Chasles w (- INR n) 0 (INR n)) by auto. unfold half, plus; simpl.
    assert (M : RInt w (- INR n) 0 = RInt w 0 (INR n)).
    { rewrite <- (opp_RInt_swap w 0 (- INR n)) by auto.
      pose proof (RInt_comp_lin (V := R_CompleteNormedModule) w (-1) 0 0 (INR n)) as H.
      assert (E : RInt (fun y => scal (-1) (w (-1 * y + 0))) 0 (INR n) = RInt w (-1 * 0 + 0) (-1 * INR n + 0)) by (apply H; apply cont_ex_RInt, w_cont).
      replace (-1 * 0 + 0) with 0 in E by ring. replace (-1 * INR n + 0) with (- INR n) in E by ring. rewrite <- E.
      rewrite (RInt_ext (fun y => scal (-1) (w (-1 * y + 0))) (fun y => scal (-1) (w y))).
      - rewrite (RInt_scal (V := R_CompleteNormedModule)) by auto. unfold opp, scal; simpl; unfold mult; simpl. ring.
      - intros x _. replace (w (-1 * x + 0)) with (w x); [auto|]. unfold w. f_equal. field. }
    rewrite M. ring. }
  assert (H4 : forall n, (RInt w (- INR n) (INR n)) ^ 2 = 2 * PI - 4 * side (INR n)).
  { intros n. rewrite S. pose proof (sum_constant (INR n)) as C. rewrite start_value in C. lra. }
  assert (L : is_lim_seq (fun n => (RInt w (- INR n) (INR n)) ^ 2) (Z ^ 2)).
  { pose proof (adm_lim w w_adm) as A. fold Z in A. apply (is_lim_seq_ext (fun n => RInt w (- INR n) (INR n) * RInt w (- INR n) (INR n))); [intros; simpl; ring|].
    replace (Finite (Z ^ 2)) with (Rbar_mult Z Z) by (simpl; f_equal; ring). apply is_lim_seq_mult'; auto. }
  assert (L2 : is_lim_seq (fun n => (RInt w (- INR n) (INR n)) ^ 2) (2 * PI)).
  { apply (is_lim_seq_ext (fun n => 2 * PI - 4 * side (INR n))); [intros; rewrite H4; auto|].
    apply (is_lim_seq_le_le_loc (fun n => 2 * PI - 8 * exp (- INR n)) _ (fun _ => 2 * PI)).
    - exists 2%nat. intros n Hn. apply le_INR in Hn. simpl in Hn. destruct (side_small (INR n)) as [A B].
      assert (exp (- (INR n ^ 2 / 2)) <= exp (- INR n)) by (apply exp_le_mono; nra). lra.
    - replace (Finite (2 * PI)) with (Rbar_plus (2 * PI) (Rbar_opp (Rbar_mult 8 0))) by (simpl; f_equal; ring).
      apply is_lim_seq_minus'; [apply is_lim_seq_const|]. apply is_lim_seq_mult'; [apply is_lim_seq_const|].
      apply (is_lim_seq_ext (fun n => / exp (INR n))); [intros; rewrite exp_Ropp; auto|].
      replace (Finite 0) with (Rbar_inv p_infty) by reflexivity. apply is_lim_seq_inv; [|discriminate].
      apply (is_lim_seq_le_p_loc INR); [exists 0%nat; intros n _; pose proof (exp_ge (INR n)); lra|apply is_lim_seq_INR].
    - apply is_lim_seq_const. }
  assert (E : Z ^ 2 = 2 * PI).
  { apply is_lim_seq_unique in L. apply is_lim_seq_unique in L2. rewrite L in L2. injection L2. auto. }
  rewrite <- E. rewrite sqrt_pow2; auto. left. apply Z_pos.
Qed.
