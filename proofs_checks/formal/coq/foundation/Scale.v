(** Change of variables in the expectation under N(0, I_d), coordinate by coordinate. *)

From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Singdiffusion Require Import Base Gaussian Space.
Local Open Scope R_scope.

(** ** Change of variables u = k v, coordinate by coordinate, k >= 1 *)

Lemma E1_scale f k : 1 <= k -> tame1 f -> tame1 (fun x => f (k * x) * (k * exp (- ((k ^ 2 - 1) * x ^ 2 / 2)))) ->
  E1 (fun x => f (k * x) * (k * exp (- ((k ^ 2 - 1) * x ^ 2 / 2)))) = E1 f.
Proof.
  intros Hk Hf Hg. unfold E1. f_equal. rewrite <- (RI_linear (fun x => f x * w x) k 0) by (try lra; apply tame1_adm; auto).
  f_equal. apply functional_extensionality. intros x. rewrite Rplus_0_r. unfold w.
  replace (f (k * x) * (k * exp (- ((k ^ 2 - 1) * x ^ 2 / 2))) * exp (- (x ^ 2 / 2)))
    with (k * (f (k * x) * (exp (- ((k ^ 2 - 1) * x ^ 2 / 2)) * exp (- (x ^ 2 / 2))))) by ring.
  rewrite <- exp_plus. do 3 f_equal. field.
Qed.

(** The density ratio that comes with it *)
Definition jac (d : nat) (k : vec) (v : vec) : R := prodn d k * exp (- (quad d (fun j => k j ^ 2 - 1) v / 2)).
Definition stretch (k v : vec) : vec := fun j => k j * v j.

Lemma tame_jac d k : (forall j, (j < d)%nat -> 1 <= k j) -> tame d (jac d k).
Proof.
  intros Hk. apply (tame_scal d (prodn d k)).
  apply (tame_exp_neg d (fun v => - (quad d (fun j => k j ^ 2 - 1) v / 2))).
  - replace (fun v => - (quad d (fun j => k j ^ 2 - 1) v / 2)) with (fun v => - / 2 * quad d (fun j => k j ^ 2 - 1) v)
      by (apply functional_extensionality; intros; field). apply tame_scal, tame_quad.
  - intros v. assert (0 <= quad d (fun j => k j ^ 2 - 1) v); [|lra]. apply quad_nonneg. intros j Hj. specialize (Hk j Hj). nra.
Qed.

Lemma len_stretch d k K v : (forall j, (j < d)%nat -> Rabs (k j) <= K) -> len d (stretch k v) <= K * len d v.
Proof.
  intros H. unfold len, stretch. rewrite <- sumn_scal. apply sumn_le. intros j Hj. rewrite Rabs_mult.
  apply Rmult_le_compat_r; [apply Rabs_pos|auto].
Qed.

Lemma tame_stretch d k f : tame d f -> tame d (fun v => f (stretch k v)).
Proof.
  intros (A & B & HA & HB & HG & HL). set (K := 1 + len d k). pose proof (len_nonneg d k).
  assert (HK : forall j, (j < d)%nat -> Rabs (k j) <= K).
  { intros j Hj. unfold K. assert (Rabs (k j) <= len d k) by (apply (sumn_term d (fun j => Rabs (k j))); auto; intros; apply Rabs_pos). lra. }
  exists (A * K), (B * K). split; [apply Rmult_le_pos; unfold K; lra|]. split; [apply Rmult_le_pos; unfold K; lra|].
  assert (X : forall u, B * len d (stretch k u) <= B * K * len d u) by (intros; rewrite Rmult_assoc; apply Rmult_le_compat_l; auto; apply len_stretch; auto).
  split.
  - intros u. eapply Rle_trans; [apply HG|]. apply Rmult_le_compat; auto; [left; apply exp_pos|unfold K; nra|apply exp_le_mono, X].
  - intros u v. eapply Rle_trans; [apply HL|].
    assert (len d (vminus (stretch k u) (stretch k v)) <= K * len d (vminus u v)).
    { replace (len d (vminus (stretch k u) (stretch k v))) with (len d (stretch k (vminus u v))); [apply len_stretch; auto|].
      unfold len, stretch, vminus. apply sumn_ext. intros; f_equal; ring. }
    replace (A * K * exp (B * K * (len d u + len d v)) * len d (vminus u v))
      with (A * exp (B * K * (len d u + len d v)) * (K * len d (vminus u v))) by ring.
    apply Rmult_le_compat; auto; [apply Rmult_le_pos; auto; left; apply exp_pos|apply len_nonneg|].
    apply Rmult_le_compat_l; auto. apply exp_le_mono. rewrite Rmult_plus_distr_l, (Rmult_plus_distr_l (B * K)).
    apply Rplus_le_compat; apply X.
Qed.

Theorem E_stretch d k f : (forall j, (j < d)%nat -> 1 <= k j) -> tame d f ->
  E d (fun v => f (stretch k v) * jac d k v) = E d f.
Proof.
  revert f. induction d; intros f Hk Hf.
  - simpl. unfold jac, quad; simpl. replace (- (0 / 2)) with 0 by field. rewrite exp_0, !Rmult_1_r.
    (* in dimension 0 there is one vector *)
    destruct Hf as (A & B & _ & _ & _ & HL). specialize (HL (stretch k (fun _ => 0)) (fun _ => 0)). unfold len in HL at 3; simpl in HL.
    rewrite Rmult_0_r in HL. pose proof (Rabs_pos (f (stretch k (fun _ => 0)) - f (fun _ => 0))).
    assert (Rabs (f (stretch k (fun _ => 0)) - f (fun _ => 0)) = 0) by lra.
    destruct (Req_dec (f (stretch k (fun _ => 0)) - f (fun _ => 0)) 0) as [H1|H1]; [lra|]. apply Rabs_no_R0 in H1. lra.
  - assert (Hk' : forall j, (j < d)%nat -> 1 <= k j) by (intros; apply Hk; lia).
    set (h := fun x => E d (fun u => f (upd d u x))).
    assert (Th : tame1 h) by (apply (proj2 (proj2 (proj2 (E_facts d)))); auto).
    assert (Q : forall x, E d (fun u => f (stretch k (upd d u x)) * jac (S d) k (upd d u x))
                          = h (k d * x) * (k d * exp (- ((k d ^ 2 - 1) * x ^ 2 / 2)))).
    { intros x. unfold h. rewrite <- (IHd (fun u => f (upd d u (k d * x)))) by (auto; apply tame_section; auto).
      rewrite (Rmult_comm (E d _)). rewrite <- E_scal.
      - apply E_ext. intros u. replace (stretch k (upd d u x)) with (upd d (stretch k u) (k d * x)).
        + unfold jac, quad. rewrite (upd_sum d (fun j y => (k j ^ 2 - 1) * y ^ 2)). simpl prodn.
          replace (- ((sumn d (fun j => (k j ^ 2 - 1) * u j ^ 2) + (k d ^ 2 - 1) * x ^ 2) / 2))
            with (- (sumn d (fun j => (k j ^ 2 - 1) * u j ^ 2) / 2) + - ((k d ^ 2 - 1) * x ^ 2 / 2)) by field.
          rewrite exp_plus. ring.
        + apply functional_extensionality. intros j. unfold upd, stretch. destruct (PeanoNat.Nat.eqb_spec j d) as [->|]; auto.
      - apply (tame_mult d (fun v => f (upd d (stretch k v) (k d * x)))); [|apply tame_jac; auto].
        apply (tame_stretch d k (fun u => f (upd d u (k d * x)))). apply tame_section; auto. }
    change (E1 (fun x => E d (fun u => f (stretch k (upd d u x)) * jac (S d) k (upd d u x))) = E1 h).
    rewrite (functional_extensionality _ _ Q). apply E1_scale; [apply Hk; lia|exact Th|].
    rewrite <- (functional_extensionality _ _ Q). apply (proj2 (proj2 (proj2 (E_facts d))) (fun u => f (stretch k u) * jac (S d) k u)).
    apply tame_mult; [apply tame_stretch; auto|apply tame_jac; auto].
Qed.
