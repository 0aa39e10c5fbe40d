(** B12 on a line: where the density ratio is at most 1, and the exact total variation, for every finite law.

    In u the kernel's density over the plug-in's is [rr u = sum_i p_i exp(m_i u - m_i^2/2)], which is convex, below 1 at 0 and above 1 far out. *)

From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Singdiffusion Require Import Base Gaussian Space Mixture B GaussianValue C_remainder.
Local Open Scope R_scope.

(** The distribution function of N(0, 1) *)
Definition Phi (x : R) : R := / 2 + half x / sqrt (2 * PI).

Lemma exp_convex t a b : 0 <= t <= 1 -> exp ((1 - t) * a + t * b) <= (1 - t) * exp a + t * exp b.
Proof.
  intros Ht. set (c := (1 - t) * a + t * b).
  assert (T : forall z, exp c * (1 + (z - c)) <= exp z).
  { intros z. replace (exp z) with (exp c * exp (z - c)) by (rewrite <- exp_plus; f_equal; ring). apply Rmult_le_compat_l; [left; apply exp_pos|apply exp_ge]. }
  pose proof (T a). pose proof (T b). replace (exp c) with ((1 - t) * (exp c * (1 + (a - c))) + t * (exp c * (1 + (b - c)))) at 1 by (unfold c; ring).
  apply Rplus_le_compat; apply Rmult_le_compat_l; lra.
Qed.

(** A sum that is 0 and has a term that is not has one above 0. *)
Lemma sum_zero_pos n f j : sumn n f = 0 -> (j < n)%nat -> f j <> 0 -> exists i, (i < n)%nat /\ 0 < f i.
Proof.
  intros H0 Hj Hf.
  assert (X : forall k, (exists i, (i < k)%nat /\ 0 < f i) \/ (forall i, (i < k)%nat -> f i <= 0)).
  { induction k as [|k [(i & Hi & Hp)|H]]; [right; intros; lia|left; exists i; split; auto|].
    destruct (Rlt_dec 0 (f k)); [left; exists k; split; auto|]. right. intros i Hi. destruct (PeanoNat.Nat.eq_dec i k) as [->|]; [lra|apply H; lia]. }
  destruct (X n) as [|H]; auto. exfalso. assert (0 < sumn n (fun i => - f i)); [|rewrite sumn_opp, H0 in H1; lra].
  apply sumn_pos; [intros i Hi; specialize (H i Hi); lra|]. exists j. split; auto. specialize (H j Hj). lra.
Qed.

Section Line.
Variables (n : nat) (p : nat -> R) (y : nat -> vec) (g : R).
Hypothesis Hw : weights n p.
Notation m i := (shift n p y g i 0%nat).
Definition rr (x : R) : R := sumn n (fun i => p i * exp (m i * x - m i ^ 2 / 2)).

Let Hp := proj1 Hw.
Let Hsum := proj2 Hw.

Lemma mix_line u : mix 1 n p (shift n p y g) u = rr (u 0%nat).
Proof. unfold mix, rr. apply sumn_ext. intros i _. unfold ratio, sq, dot. simpl. f_equal. f_equal. field. Qed.

Lemma rr_convex t a b : 0 <= t <= 1 -> rr ((1 - t) * a + t * b) <= (1 - t) * rr a + t * rr b.
Proof.
  intros Ht. unfold rr. rewrite <- !sumn_scal, <- sumn_plus. apply sumn_le. intros i Hi.
  replace ((1 - t) * (p i * exp (m i * a - m i ^ 2 / 2)) + t * (p i * exp (m i * b - m i ^ 2 / 2)))
    with (p i * ((1 - t) * exp (m i * a - m i ^ 2 / 2) + t * exp (m i * b - m i ^ 2 / 2))) by ring.
  apply Rmult_le_compat_l; auto.
  replace (m i * ((1 - t) * a + t * b) - m i ^ 2 / 2) with ((1 - t) * (m i * a - m i ^ 2 / 2) + t * (m i * b - m i ^ 2 / 2)) by field.
  apply exp_convex; auto.
Qed.

Lemma rr_derive x : is_derive rr x (sumn n (fun i => p i * (m i * exp (m i * x - m i ^ 2 / 2)))).
Proof. apply (derive_sumn n (fun i x => p i * exp (m i * x - m i ^ 2 / 2))). intros i _. auto_derive; auto. unfold Rminus. simpl. ring. Qed.

Lemma rr_continuous x : continuous rr x.
Proof. apply (ex_derive_continuous rr). eexists. apply rr_derive. Qed.

(** Some atom that matters lies off the mean. *)
Definition spread_out : Prop := exists j, (j < n)%nat /\ 0 < p j /\ m j <> 0.

Lemma m_centred : sumn n (fun i => p i * m i) = 0.
Proof.
  rewrite (sumn_ext n _ (fun i => sqrt g * (p i * xi n p y i 0%nat))) by (intros; unfold shift, vscal; ring). rewrite sumn_scal, (xi_centred n p y Hw). ring.
Qed.

Lemma rr_zero : spread_out -> rr 0 < 1.
Proof.
  intros (j & Hj & Hpj & Hm). rewrite <- Hsum. unfold rr.
  assert (0 < sumn n (fun i => p i - p i * exp (m i * 0 - m i ^ 2 / 2))); [|rewrite sumn_minus in H; lra].
  assert (L : forall i, exp (m i * 0 - m i ^ 2 / 2) <= 1) by (intros; rewrite <- exp_0; apply exp_le_mono; pose proof (pow2_ge_0 (m i)); lra).
  apply sumn_pos.
  - intros i Hi. specialize (L i). specialize (Hp i Hi). nra.
  - exists j. split; auto. assert (exp (m j * 0 - m j ^ 2 / 2) < 1); [|nra]. rewrite <- exp_0. apply exp_increasing. pose proof (pow2_gt_0 (m j) Hm). lra.
Qed.

(** Far out on the side of an atom the ratio is above 1. *)
Lemma rr_far i : (i < n)%nat -> 0 < p i -> m i <> 0 -> let x := (m i ^ 2 / 2 - ln (p i)) / m i in 1 <= rr x /\ 0 < x * m i.
Proof.
  intros Hi Hpi Hm x. assert (Hp1 : p i <= 1) by (rewrite <- Hsum; apply (sumn_term n p); auto).
  assert (Hl : ln (p i) <= 0) by (rewrite <- ln_1; apply ln_le_mono; auto). pose proof (pow2_gt_0 (m i) Hm).
  assert (Ex : x * m i = m i ^ 2 / 2 - ln (p i)) by (unfold x; field; auto). split; [|lra].
  apply Rle_trans with (p i * exp (m i * x - m i ^ 2 / 2)).
  - replace (m i * x - m i ^ 2 / 2) with (- ln (p i)) by (rewrite (Rmult_comm (m i) x), Ex; ring). rewrite exp_Ropp, exp_ln by auto. right. field. lra.
  - unfold rr. apply (sumn_term n (fun i => p i * exp (m i * x - m i ^ 2 / 2))); auto. intros k Hk. apply Rmult_le_pos; auto. left; apply exp_pos.
Qed.

Lemma rr_crosses x : spread_out -> 1 <= rr x -> exists c, Rmin 0 x <= c <= Rmax 0 x /\ rr c = 1 /\ c <> 0.
Proof.
  intros Hs Hx. pose proof (rr_zero Hs).
  destruct (IVT_gen rr 0 x 1) as (c & Hc & Ec).
  - intros z. apply continuity_pt_filterlim, rr_continuous.
  - rewrite Rmin_left, Rmax_right by lra. lra.
  - exists c. split; auto. split; auto. intros ->. lra.
Qed.

(** Where the ratio is at most 1 *)
Theorem B12_interval : spread_out -> exists a b, a < 0 < b /\ rr a = 1 /\ rr b = 1 /\ forall u, mix 1 n p (shift n p y g) u <= 1 <-> a <= u 0%nat <= b.
Proof.
  intros Hs. pose proof (rr_zero Hs) as R0. destruct Hs as (j & Hj & Hpj & Hm). pose proof (ex_intro _ j (conj Hj (conj Hpj Hm)) : spread_out) as Hs.
  assert (Hf : p j * m j <> 0) by (apply Rmult_integral_contrapositive; split; lra).
  assert (A : forall i, (i < n)%nat -> 0 < p i * m i -> exists b, 0 < b /\ rr b = 1).
  { intros i Hi Hpm. assert (0 <= p i) by auto. assert (Hpi : 0 < p i) by (destruct (Req_dec (p i) 0) as [Z|]; [rewrite Z in Hpm; lra|lra]).
    assert (Hmi : 0 < m i) by nra. destruct (rr_far i Hi Hpi ltac:(lra)) as [H1 H2]. set (x := (m i ^ 2 / 2 - ln (p i)) / m i) in *. assert (0 < x) by nra.
    destruct (rr_crosses x Hs H1) as (c & Hc & Ec & Hc0). rewrite Rmin_left, Rmax_right in Hc by lra. exists c. split; auto. lra. }
  assert (B : forall i, (i < n)%nat -> 0 < - (p i * m i) -> exists b, b < 0 /\ rr b = 1).
  { intros i Hi Hpm. assert (0 <= p i) by auto. assert (Hpi : 0 < p i) by (destruct (Req_dec (p i) 0) as [Z|]; [rewrite Z in Hpm; lra|lra]).
    assert (Hmi : m i < 0) by nra. destruct (rr_far i Hi Hpi ltac:(lra)) as [H1 H2]. set (x := (m i ^ 2 / 2 - ln (p i)) / m i) in *. assert (x < 0) by nra.
    destruct (rr_crosses x Hs H1) as (c & Hc & Ec & Hc0). rewrite Rmin_right, Rmax_left in Hc by lra. exists c. split; auto. lra. }
  destruct (sum_zero_pos n (fun i => p i * m i) j m_centred Hj Hf) as (i & Hi & Hpm). destruct (A i Hi Hpm) as (b & Hb & Eb).
  destruct (sum_zero_pos n (fun i => - (p i * m i)) j) as (i' & Hi' & Hpm'); [rewrite sumn_opp, m_centred; ring|auto|lra|]. destruct (B i' Hi' Hpm') as (a & Ha & Ea).
  exists a, b. repeat split; auto; rewrite mix_line in *; set (x := u 0%nat) in *.
  - apply Rnot_lt_le. intros HLt. (* a lies between x and 0 *)
    assert (Hx : x < 0) by lra. assert (0 < a / x < 1) by (split; [apply Rmult_lt_reg_r with (- x); [lra|]; replace (a / x * - x) with (- a) by (field; lra); lra|
      apply Rmult_lt_reg_r with (- x); [lra|]; replace (a / x * - x) with (- a) by (field; lra); lra]).
    pose proof (rr_convex (a / x) 0 x ltac:(lra)) as C. replace ((1 - a / x) * 0 + a / x * x) with a in C by (field; lra). rewrite Ea in C. nra.
  - apply Rnot_lt_le. intros HLt. assert (Hx : 0 < x) by lra. assert (0 < b / x < 1) by (split; [apply Rdiv_lt_0_compat; lra|apply Rmult_lt_reg_r with x; [lra|]; replace (b / x * x) with b by (field; lra); lra]).
    pose proof (rr_convex (b / x) 0 x ltac:(lra)) as C. replace ((1 - b / x) * 0 + b / x * x) with b in C by (field; lra). rewrite Eb in C. nra.
  - intros [H1 H2]. set (t := (x - a) / (b - a)). assert (Ht : 0 <= t <= 1).
    { split; [apply Rdiv_le_0_compat; lra|]. apply Rmult_le_reg_r with (b - a); [lra|]. unfold t. replace ((x - a) / (b - a) * (b - a)) with (x - a) by (field; lra). lra. }
    pose proof (rr_convex t a b Ht) as C. replace ((1 - t) * a + t * b) with x in C by (unfold t; field; lra). rewrite Ea, Eb in C. lra.
Qed.

(** ** The total variation *)

Definition below (x : R) : R := (Rabs (1 - rr x) + (1 - rr x)) / 2.

Lemma TV_below : TV 1 n p (shift n p y g) = E1 below.
Proof.
  set (mm := mix 1 n p (shift n p y g)). assert (Tm : tame 1 mm) by apply tame_mix.
  assert (T1 : tame 1 (fun u => 1 - mm u)) by (apply (tame_minus 1 (fun _ => 1)); auto; apply tame_const).
  assert (Q : E 1 (fun u => / 2 * (Rabs (1 - mm u) + (1 - mm u))) = TV 1 n p (shift n p y g)).
  { unfold TV. fold mm. rewrite E_scal by (apply tame_plus; auto; apply tame_abs; auto). rewrite E_plus, (E_minus 1 (fun _ => 1)), E_const; auto; [|apply tame_const|apply tame_abs; auto].
    unfold mm at 2. rewrite E_mix_1 by auto. rewrite (E_ext 1 (fun u => Rabs (1 - mm u)) (fun u => Rabs (mm u - 1))) by (intros; apply Rabs_minus_sym). field. }
  rewrite <- Q. cbn [E]. f_equal. apply functional_extensionality. intros x. unfold mm. rewrite mix_line. unfold upd. simpl. unfold below. field.
Qed.

Lemma below_value a b : (forall x, rr x <= 1 <-> a <= x <= b) -> forall x, below x = if Rle_dec a x then (if Rle_dec x b then 1 - rr x else 0) else 0.
Proof.
  intros H x. unfold below. destruct (Rle_dec a x); destruct (Rle_dec x b).
  - rewrite Rabs_right; [field|]. assert (rr x <= 1) by (apply H; lra). lra.
  - assert (1 < rr x) by (apply Rnot_le_lt; intros C; apply H in C; lra). rewrite Rabs_left by lra. field.
  - assert (1 < rr x) by (apply Rnot_le_lt; intros C; apply H in C; lra). rewrite Rabs_left by lra. field.
  - assert (1 < rr x) by (apply Rnot_le_lt; intros C; apply H in C; lra). rewrite Rabs_left by lra. field.
Qed.

Lemma below_continuous x : continuous (fun x => below x * w x) x.
Proof.
  apply (continuous_mult (K := R_AbsRing) below w); [|apply w_cont]. unfold below.
  assert (C : continuous (fun x => 1 - rr x) x) by (apply (continuous_minus (V := R_NormedModule) (fun _ => 1) rr); [apply continuous_const|apply rr_continuous]).
  apply (continuous_mult (K := R_AbsRing) (fun x => Rabs (1 - rr x) + (1 - rr x)) (fun _ => / 2)); [|apply continuous_const].
  apply (continuous_plus (V := R_NormedModule) (fun x => Rabs (1 - rr x)) (fun x => 1 - rr x)); auto.
  apply (continuous_comp (fun x => 1 - rr x) Rabs); auto. apply continuous_Rabs.
Qed.

(** The integral of what lies below *)
Definition G (x : R) : R := half x - sumn n (fun i => p i * half (x - m i)).

Lemma G_derive x : is_derive G x ((1 - rr x) * w x).
Proof.
  replace ((1 - rr x) * w x) with (w x - sumn n (fun i => p i * w (x - m i))).
  - apply (is_derive_minus (K := R_AbsRing) (V := R_NormedModule) half (fun x => sumn n (fun i => p i * half (x - m i)))); [apply half_derive|].
    apply (derive_sumn n (fun i x => p i * half (x - m i))). intros i _. pose proof (half_derive (x - m i)) as D. auto_derive; [eexists; exact D|]. unfold Rminus in *. rate D. ring.
  - rewrite Rmult_minus_distr_r, Rmult_1_l. f_equal. unfold rr. rewrite <- sumn_scal_r. apply sumn_ext. intros i _. unfold w. rewrite Rmult_assoc, <- exp_plus. f_equal. f_equal. field.
Qed.

Theorem B12_exact a b : a <= b -> (forall u, mix 1 n p (shift n p y g) u <= 1 <-> a <= u 0%nat <= b) ->
  TV 1 n p (shift n p y g) = Phi b - Phi a - sumn n (fun i => p i * (Phi (b - m i) - Phi (a - m i))).
Proof.
  intros Hab H0. assert (H : forall x, rr x <= 1 <-> a <= x <= b) by (intros x; specialize (H0 (fun _ => x)); rewrite mix_line in H0; exact H0).
  pose proof (below_value a b H) as V. rewrite TV_below. unfold E1. rewrite gauss_integral.
  assert (SP : 0 < sqrt (2 * PI)) by (apply sqrt_lt_R0; pose proof PI_RGT_0; lra).
  assert (I : RI (fun x => below x * w x) = G b - G a).
  { apply RI_unique. apply is_lim_seq_ext_loc with (fun _ => G b - G a); [|apply is_lim_seq_const].
    destruct (nfloor_ex (Rabs a + Rabs b)) as [N HN]; [pose proof (Rabs_pos a); pose proof (Rabs_pos b); lra|].
    exists (S N). intros k Hk. apply le_INR in Hk. rewrite S_INR in Hk. pose proof (Rle_abs a). pose proof (Rle_abs b). pose proof (Rle_abs (- a)). rewrite Rabs_Ropp in *.
    pose proof (Rabs_pos a). pose proof (Rabs_pos b).
    assert (Ex : forall u v, ex_RInt (V := R_NormedModule) (fun x => below x * w x) u v) by (intros; apply cont_ex_RInt, below_continuous).
    assert (Zero : forall u v, u <= v -> (forall x, u < x < v -> below x = 0) -> RInt (fun x => below x * w x) u v = 0).
    { intros u v Huv Hz. rewrite (RInt_ext (V := R_CompleteNormedModule) _ (fun _ => 0)).
      - rewrite RInt_const. unfold scal. simpl. unfold mult. simpl. ring.
      - intros x Hx. rewrite Rmin_left, Rmax_right in Hx by lra. rewrite Hz by lra. apply Rmult_0_l. }
    rewrite <- (RInt_Chasles (V := R_CompleteNormedModule) (fun x => below x * w x) (- INR k) a (INR k)) by auto.
    rewrite <- (RInt_Chasles (V := R_CompleteNormedModule) (fun x => below x * w x) a b (INR k)) by auto.
    rewrite (Zero (- INR k) a), (Zero b (INR k)); try lra.
    - assert (M : RInt (fun x => below x * w x) a b = G b - G a).
      { apply (is_RInt_unique (V := R_CompleteNormedModule)). apply (is_RInt_ext (V := R_NormedModule) (fun x => (1 - rr x) * w x)).
        - intros x Hx. rewrite Rmin_left, Rmax_right in Hx by lra. rewrite V. destruct (Rle_dec a x); [|lra]. destruct (Rle_dec x b); [reflexivity|lra].
        - apply (is_RInt_derive G (fun x => (1 - rr x) * w x)); intros x _; [apply G_derive|].
          apply (continuous_mult (K := R_AbsRing) (fun x => 1 - rr x) w); [|apply w_cont].
          apply (continuous_minus (V := R_NormedModule) (fun _ => 1) rr); [apply continuous_const|apply rr_continuous]. }
      rewrite M. unfold plus. simpl. ring.
    - intros x Hx. rewrite V. destruct (Rle_dec a x); auto. destruct (Rle_dec x b); auto. lra.
    - intros x Hx. rewrite V. destruct (Rle_dec a x); auto. lra. }
  rewrite I. unfold G, Phi. rewrite (sumn_ext n (fun i => p i * (/ 2 + half (b - m i) / sqrt (2 * PI) - (/ 2 + half (a - m i) / sqrt (2 * PI))))
    (fun i => / sqrt (2 * PI) * (p i * half (b - m i) - p i * half (a - m i)))) by (intros; field; lra).
  rewrite sumn_scal, sumn_minus. field. lra.
Qed.

(** If no atom that matters lies off the mean, there is nothing between the two laws. *)
Theorem B12_one : ~ spread_out -> TV 1 n p (shift n p y g) = 0.
Proof.
  intros Hs. assert (Rone : forall x, rr x = 1).
  { intros x. rewrite <- Hsum. unfold rr. apply sumn_ext. intros i Hi. destruct (Req_dec (p i) 0) as [->|Hpi]; [ring|]. destruct (Req_dec (m i) 0) as [Z|Hm].
    - rewrite Z, exp_zero by field. ring.
    - exfalso. apply Hs. exists i. specialize (Hp i Hi). repeat split; auto. lra. }
  unfold TV. rewrite (E_ext 1 _ (fun _ => 0)); [rewrite E_const; field|]. intros u. rewrite mix_line, Rone. replace (1 - 1) with 0 by ring. apply Rabs_R0.
Qed.
End Line.
