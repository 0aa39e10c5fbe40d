(** B12, continued: total variation over the moment-matched Gaussian M, and along one direction, for every finite law.

    Expectations under M = N(0, I + g C) are [E] of functions of [roots] times v, [v] standard (B.v). In v the density of P over M is [over_M], that of Q
    over M is [jac]. *)

From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Singdiffusion Require Import Base Gaussian Space Scale Mixture Divergence Formulas B B_pairs Translate.
Local Open Scope R_scope.

Section All_finite_laws.
Variables (d n : nat) (p : nat -> R) (y : nat -> vec) (g : R).
Hypothesis Hw : weights n p.
Hypothesis Hg : 0 <= g.
Notation m := (shift n p y g).
Notation q := (over_M d n p y g).
Notation j := (jac d (roots n p y g)).

(** TV(M, Q), TV(P, M) and chi^2(P|M), as expectations under M *)
Definition TV_M_Q : R := E d (fun v => Rabs (j v - 1)) / 2.
Definition TV_P_M : R := E d (fun v => Rabs (q v - 1)) / 2.
Definition chi2_P_M : R := E d (fun v => (q v - 1) ^ 2).

Let Tq : tame d q. Proof. apply tame_over_M; auto. Qed.
Let Tj : tame d j. Proof. apply tame_jac. intros; apply roots_ge; auto. Qed.
Let Tdev f : tame d f -> tame d (fun v => Rabs (f v - 1)).
Proof. intros Tf. apply (tame_abs d (fun v => f v - 1)), (tame_minus d f); auto. apply tame_const. Qed.

(** TV(P, Q) is the same under M, and the triangle's inequality holds there. *)
Lemma TV_under_M : TV d n p m = E d (fun v => Rabs (q v - j v)) / 2.
Proof.
  unfold TV. f_equal. rewrite <- (E_stretch d (roots n p y g)); [|intros; apply roots_ge; auto|].
  - apply E_ext. intros v. pose proof (jac_pos d n p y g Hw Hg v). rewrite <- (Rabs_right (j v)) at 1 by lra. rewrite <- Rabs_mult. f_equal. unfold over_M. ring.
  - apply (tame_abs d (fun u => mix d n p m u - 1)), (tame_minus d (mix d n p m)); [apply tame_mix|apply tame_const].
Qed.

Theorem B12_triangle : TV d n p m <= TV_M_Q + TV_P_M.
Proof.
  rewrite TV_under_M. unfold TV_M_Q, TV_P_M. enough (E d (fun v => Rabs (q v - j v)) <= E d (fun v => Rabs (j v - 1)) + E d (fun v => Rabs (q v - 1))) by lra.
  rewrite <- E_plus by auto. apply E_le; [apply (tame_abs d (fun v => q v - j v)), (tame_minus d q); auto|apply (tame_plus d (fun v => Rabs (j v - 1))); auto|].
  intros v. replace (q v - j v) with ((q v - 1) - (j v - 1)) by ring. unfold Rminus at 1. eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp. lra.
Qed.

Theorem B12_chi2 : TV_P_M <= sqrt chi2_P_M / 2.
Proof.
  unfold TV_P_M. apply Rmult_le_compat_r; [lra|]. set (c := E d (fun v => Rabs (q v - 1))).
  assert (Hc : 0 <= c). { unfold c. rewrite <- (E_const d 0). apply E_le; [apply tame_const|auto|intros; apply Rabs_pos]. }
  rewrite <- (sqrt_square c) by auto. apply sqrt_le_1_alt.
  assert (T2 : tame d (fun v => (q v - 1) ^ 2)).
  { rewrite (functional_extensionality (fun v => (q v - 1) ^ 2) (fun v => (q v - 1) * (q v - 1))) by (intros; ring).
    apply (tame_mult d (fun v => q v - 1)); apply (tame_minus d q); auto; apply tame_const. }
  assert (H : E d (fun v => 2 * c * Rabs (q v - 1) - c * c) <= chi2_P_M).
  { apply E_le; [apply (tame_minus d (fun v => 2 * c * Rabs (q v - 1))); [apply tame_scal; auto|apply tame_const]|auto|].
    intros v. rewrite <- (pow2_abs (q v - 1)). pose proof (pow2_ge_0 (Rabs (q v - 1) - c)). nra. }
  rewrite E_minus, E_scal, E_const in H; [fold c in H; lra|auto|apply tame_scal; auto|apply tame_const].
Qed.

(** [B5] is KL(M|Q), so that KL(P|M) is at most [U - B5] for any bound U of KL(P|Q), such as B10's. *)
Theorem B12_moment U : KL d n p m <= U -> TV_P_M <= sqrt ((U - sumn d (fun k => Formulas.kl_gauss_term g (lam n p y k))) / 2).
Proof.
  intros HU. eapply Rle_trans; [apply (pinsker_ratio d q); auto; [intros; apply over_M_pos; auto|apply tame_ln_over_M; auto|apply E_over_M; auto]|].
  apply sqrt_le_1_alt. rewrite <- (kl_to_gauss_value d n p y g Hw Hg). pose proof (B5_pythagoras d n p y g Hw Hg). lra.
Qed.

(** The least of all *)
Theorem B12_least U : KL d n p m <= U ->
  TV d n p m <= Rmin (Rmin (Formulas.tv_pinsker U) (Formulas.tv_bretagnolle_huber U))
    (TV_M_Q + Rmin (Formulas.tv_chi2_bound chi2_P_M) (Formulas.tv_pinsker (U - sumn d (fun k => Formulas.kl_gauss_term g (lam n p y k))))).
Proof.
  intros HU. apply Rmin_glb; [apply Rmin_glb; [apply B12_pinsker; auto|apply B12_bretagnolle_huber; auto]|].
  eapply Rle_trans; [apply B12_triangle|]. apply Rplus_le_compat_l. apply Rmin_glb.
  - rewrite tie_tv_chi2_bound. apply B12_chi2.
  - rewrite tie_tv_pinsker; [apply B12_moment; auto|]. pose proof (B5_lower d n p y g Hw Hg). lra.
Qed.

End All_finite_laws.

(** TV along one direction, the last coordinate here, is a lower bound. *)
Theorem B12_projection d n p m : weights n p -> TV 1 n p (fun i _ => m i d) <= TV (S d) n p m.
Proof.
  intros Hw. unfold TV. apply Rmult_le_compat_r; [lra|]. set (P := fun i (_ : nat) => m i d).
  assert (T1 : tame 1 (fun u => Rabs (mix 1 n p P u - 1))) by (apply (tame_abs 1 (fun u => mix 1 n p P u - 1)), (tame_minus 1 (mix 1 n p P)); [apply tame_mix|apply tame_const]).
  assert (Td : tame (S d) (fun u => mix (S d) n p m u - 1)) by (apply (tame_minus (S d) (mix (S d) n p m)); [apply tame_mix|apply tame_const]).
  assert (TA : tame (S d) (fun u => Rabs (mix (S d) n p m u - 1))) by (apply (tame_abs (S d) (fun u => mix (S d) n p m u - 1)); auto).
  change (E1 (fun x => E 0 (fun u => Rabs (mix 1 n p P (upd 0 u x) - 1))) <= E1 (fun x => E d (fun u => Rabs (mix (S d) n p m (upd d u x) - 1)))).
  apply E1_le.
  - apply (proj2 (proj2 (proj2 (E_facts 0))) (fun u => Rabs (mix 1 n p P u - 1))). auto.
  - apply (proj2 (proj2 (proj2 (E_facts d))) (fun u => Rabs (mix (S d) n p m u - 1))). auto.
  - intros x. cbn [E]. assert (X : E d (fun u => mix (S d) n p m (upd d u x) - 1) = mix 1 n p P (upd 0 (fun _ => 0) x) - 1).
    { assert (Tm : tame d (fun u => mix (S d) n p m (upd d u x))) by (apply (tame_section d (mix (S d) n p m)), tame_mix).
      rewrite E_minus, E_const by (auto; apply tame_const). f_equal.
      rewrite (E_ext d _ (fun u => sumn n (fun i => p i * exp (m i d * x - m i d ^ 2 / 2) * ratio d (m i) u))).
      - rewrite (E_sum d n (fun i u => p i * exp (m i d * x - m i d ^ 2 / 2) * ratio d (m i) u)) by (intros; apply tame_scal, tame_ratio).
        unfold mix. apply sumn_ext. intros i _. rewrite E_scal, E_ratio, Rmult_1_r by apply tame_ratio. f_equal.
        unfold ratio, sq, dot, P, upd. simpl. f_equal. field.
      - intros u. unfold mix. apply sumn_ext. intros i _. rewrite ratio_upd. ring. }
    rewrite <- X. apply E_abs_le; [apply (tame_section d (fun u => mix (S d) n p m u - 1)); auto|apply (tame_section d (fun u => Rabs (mix (S d) n p m u - 1))); auto|].
    intros u. lra.
Qed.
